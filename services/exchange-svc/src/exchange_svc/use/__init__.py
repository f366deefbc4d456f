"""What requesters record of the use they made of shared data: how, with which effect, and where it is kept."""

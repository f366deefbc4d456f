"""What approved scenarios offer to the organizations they name, before these ask (主动共享)."""

"""Corrections: a requester doubts what it was given, its provider corrects it or says why not, by a day."""

"""The shared APIs of resources: who may call them, and what is counted of every call."""

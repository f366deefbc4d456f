"""Whatever is granted, pushed and changed: what leaves by every way is inside the grant, and all of it."""

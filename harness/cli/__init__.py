"""The commands. Only these modules print and exit; none imports torch before a command needs it."""

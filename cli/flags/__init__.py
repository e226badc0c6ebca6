"""Options and commands as this command line has them, on top of click: Docker's switches, values and request fields."""

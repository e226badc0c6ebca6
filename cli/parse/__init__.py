"""Pure parsers of what users write on the command line. They raise ValueError with a sentence for the user."""

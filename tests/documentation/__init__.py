"""What the documentation says, taken apart, so that tests can do it or hold it against the program."""

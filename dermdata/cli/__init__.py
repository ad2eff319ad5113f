"""The command line: parse options, call one room below, hand the result to output."""

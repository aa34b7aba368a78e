"""The command line: arguments in, results on standard output, everything else on standard error."""

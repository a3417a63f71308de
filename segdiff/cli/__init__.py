"""The command `segdiff`: options to calls, errors to exit codes. Nobody imports this room."""

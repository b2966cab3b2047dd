"""The commands of `npconv`, a file each: `add_to` says what a command takes, `run` does it and returns the exit code."""

# All went well; something was found wrong; the command was misused, or lacks something.
OK, FAILED, MISUSED = 0, 1, 2

"""The config of a run: its science, its execution, and how both are written and overridden."""

from scaling.common.packages import ROOMS, check_packages

check_packages(*ROOMS["experiments"].uses)  # the first import that needs `models`

"""The config of a run: its science, its execution, and how both are written and overridden."""

from scaling.common.packages import check_packages

check_packages("experiments")  # the first import that needs `models`

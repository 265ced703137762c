# The kernel this repository extends: a Debian package, and the point release it was last tested with.
# Another 6.1.y only prints a note; a patch that does not apply to it stops the build.
BASE_PACKAGE := linux-source-6.1
BASE_TESTED := 6.1.192

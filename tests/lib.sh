# SPDX-License-Identifier: GPL-2.0-only
# What the bench's shell scripts share. Sourced; needs bash.
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
linux=$build/linux
logs=$build/log
ARCH=${ARCH:-x86_64}
export ARCH
case $ARCH in
x86_64) image=arch/x86/boot/bzImage cross='' modes="legacy scalable" ;;
arm64) image=arch/arm64/boot/Image cross=aarch64-linux-gnu- modes="nested stage1 stage2" ;;
*)
	echo "error: ARCH is x86_64 or arm64, not \"$ARCH\"" >&2
	exit 1
	;;
esac
mode=${MODE:-${modes%% *}}
if [[ " $modes " != *" $mode "* ]]; then
	echo "error: MODE on $ARCH is one of: $modes; not \"$mode\"" >&2
	exit 1
fi
# what make was told is meant for this bench, not for the makefiles of the kernel
unset MAKEFLAGS MFLAGS MAKELEVEL
base_package=$(sed -n 's/^BASE_PACKAGE *:= *//p' "$root/base.mk")
base_tested=$(sed -n 's/^BASE_TESTED *:= *//p' "$root/base.mk")

# DEBUG=1 is the same kernel with every checker on, in an object directory of its own
variant=$ARCH
if [ "${DEBUG:-0}" = 1 ]; then
	variant=$ARCH-debug
elif [ "${DEBUG:-0}" != 0 ] && [ -n "$DEBUG" ]; then
	echo "error: DEBUG is 1 or unset, not \"$DEBUG\"" >&2
	exit 1
fi
# whether it has them
checkers=
[ "$variant" = "$ARCH" ] || checkers=1
# IOMMUFD=0 is the kernel without this subsystem, to see that the rest of it is as it was
if [ "${IOMMUFD:-1}" = 0 ]; then
	variant=$variant-without
elif [ "${IOMMUFD:-1}" != 1 ]; then
	echo "error: IOMMUFD is 0 or unset, not \"$IOMMUFD\"" >&2
	exit 1
fi
# inside the source tree: the compiler then sees relative paths only, and a cache serves every clone
objects=$linux/build-$variant

# what distributions do not have in the version that the tests want, unpacked and not installed
tools=${XDG_CACHE_HOME:-$HOME/.cache}/iommufd-tools

# progress and notes go to stderr: stdout belongs to results
say() {
	echo "$*" >&2
}

die() {
	echo "error: $*" >&2
	exit 1
}

# logged NAME COMMAND...: the output goes to build/log/NAME.log; a failure shows its end and where it is
logged() {
	local log=$logs/$1.log
	shift
	mkdir -p "$logs"
	if ! "$@" >"$log" 2>&1; then
		tail -n 25 "$log" >&2
		die "\"${*:1:3} ...\" failed; the whole log is ${log#"$root"/}"
	fi
}

# kernel_make ARCHITECTURE CROSS OBJECTS ARGUMENT...: make in the kernel's tree, with a directory for what it builds.
# The cache of the compiler preprocesses whatever it has not seen; its depend mode would not, but takes an object for the
# same when a file that .incbin names has changed: certificates, for one.
kernel_make() {
	local arch=$1 cross=$2 objects=$3 cache=
	shift 3
	! command -v ccache >/dev/null || cache="ccache "
	CCACHE_NOHASHDIR=1 make -C "$linux" O="$objects" ARCH="$arch" CROSS_COMPILE="$cross" CC="$cache${cross}gcc" \
		HOSTCC="${cache}gcc" "$@"
}

# meter NAME LOG: prints how many files were built, on one line that updates, or every half minute when nobody watches
meter() {
	local start=$SECONDS period=30 end='\n'
	if [ -t 2 ]; then
		period=2 end='\r'
	fi
	while sleep "$period"; do
		printf "  %s: %d files built, %d s$end" "$1" "$(grep -c '^  [A-Z]' "$2" || true)" $((SECONDS - start)) >&2
	done
}

# those of the programs named that reach the emulated IOMMU and its devices; the others use the mock IOMMU or none
with_hardware() {
	local program
	for program; do
		if grep -qs 'edu_' "$root/tools/testing/selftests/iommu/$program.c" "$root/tests/guest/$program.c"; then
			echo "$program"
		fi
	done
}

# Results of a group of checks: one line each, and the totals as the last line.
passed=0 failed=0 skipped=0

ok() {
	passed=$((passed + 1))
	echo "ok   $1"
}

bad() {
	failed=$((failed + 1))
	echo "FAIL $1${2:+: $2}"
}

# skip GROUP REASON: only a skip listed in tests/expected-skips is one
skip() {
	if grep -qE -f <(sed -n '/^#/!s/ # .*//p' "$root/tests/expected-skips") <<<"$1: $2"; then
		skipped=$((skipped + 1))
		echo "skip $1: $2"
	else
		bad "$1" "unexpected skip: $2"
	fi
}

indent() {
	sed 's/^/     /'
}

# verdict_of NAME COMMAND...: a check that passes when the command succeeds; its output is shown when it fails
verdict_of() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		bad "$name"
		indent <<<"$output"
	fi
}

totals() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}

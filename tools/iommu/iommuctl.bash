# SPDX-License-Identifier: GPL-2.0-only
# bash completion for iommuctl

_iommuctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word line=${COMP_LINE:0:COMP_POINT}
	local common="--json --sysroot --help" command="" own="" devices=""

	# bash takes the colons of PCI addresses for ends of words
	cur=${line##*[[:space:]]}
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		list | doctor | bind | unbind | show | graph | watch)
			command=$word
			break
			;;
		esac
	done
	case $prev in
	--sysroot)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--output)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W "dot svg png" -- "$cur")
		return
		;;
	--driver)
		mapfile -t COMPREPLY < <(cd /sys/bus/pci/drivers 2>/dev/null && compgen -d -- "$cur")
		return
		;;
	--pid)
		mapfile -t COMPREPLY < <(cd /proc && compgen -d -X '![0-9]*' -- "$cur")
		return
		;;
	--iova | --memory | --interval | --count) return ;;
	esac
	case $command in
	'') own="--version list doctor bind unbind show graph watch help" ;;
	doctor) own="--iova --memory --pid" ;;
	bind) own="--driver --group --force --dry-run" ;;
	unbind) own="--group --force --dry-run" ;;
	show) own="--areas" ;;
	graph) own="--output --format" ;;
	watch) own="--interval --count" ;;
	esac
	if [ -n "$command" ] && [[ $cur != -* ]]; then
		devices=$(cd /sys/bus/pci/devices 2>/dev/null && echo *:*)
		common="" own=""
	fi
	mapfile -t COMPREPLY < <(compgen -W "$common $own $devices" -- "$cur")
	# of what was completed, only what stands behind the last colon of the word is replaced
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
	fi
} && complete -F _iommuctl iommuctl

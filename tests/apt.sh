# SPDX-License-Identifier: GPL-2.0-only
# An apt of our own, beside the machine's. Sourced; needs bash.
# shellcheck shell=bash disable=SC2034

no_mirror='apt of this machine has no Debian mirror, or "apt-get update" never ran'

# debian_mirror: the one that this machine uses; fails when there is none
debian_mirror() {
	local uri label mirror=
	# shellcheck disable=SC2016 # apt's own variables
	while read -r uri label; do
		[ "$label" != Debian ] || mirror=$uri
	done < <(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages')
	[ -n "$mirror" ] && echo "$mirror"
}

# private_apt DIRECTORY ARCHITECTURES SUITE...: from now on apt knows these suites, of the mirror that this machine uses
# and by the way in which it reaches it, with its lists in DIRECTORY; the lists and settings of the machine stay as they
# are. Fails when there is no mirror. The list that it knows is empty until "apt-get update".
private_apt() {
	local dir=$1 architectures=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite mirror
	shift 2
	mirror=$(debian_mirror) || return 1
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	for suite; do
		echo "deb [signed-by=$keyring arch=${architectures// /,}] $mirror $suite main"
	done >"$dir/sources.list"
	{
		apt-config dump | grep '^Acquire::'
		cat <<-END
			APT::Architectures { "${architectures// /\"; \"}"; };
			Dir::Etc::Main "/dev/null";
			Dir::Etc::Parts "/dev/null";
			Dir::Etc::SourceList "$dir/sources.list";
			Dir::Etc::SourceParts "/dev/null";
			Dir::Etc::Preferences "/dev/null";
			Dir::Etc::PreferencesParts "/dev/null";
			Dir::State "$dir";
			Dir::State::Status "/dev/null";
			Dir::Cache "$dir";
			Dir::Cache::PkgCache "";
			Dir::Cache::SrcPkgCache "";
			Acquire::AllowInsecureRepositories "0";
			Acquire::AllowWeakRepositories "0";
			Acquire::AllowDowngradeToInsecureRepositories "0";
			Acquire::Languages "none";
			APT::Update::Error-Mode "any";
			APT::Sandbox::User "root";
		END
	} >"$dir/apt.conf"
	export APT_CONFIG=$dir/apt.conf
}

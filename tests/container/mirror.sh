# Sourced by the scripts here.
# shellcheck shell=bash

# Where apt has Debian's packages from; empty if it has none.
mirror() {
  # The names in the format are apt's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
}

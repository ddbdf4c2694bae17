#!/bin/sh
# plink2 v2.00a3.5: --remove of a list of IIDs removes nobody, and ends with exit code 0
#
# A list of individuals may have the header #IID, or one column alone. One would expect
# it to name individuals by their IID. plink2 takes their FID for 0, so in a .fam file
# with families it finds none of them: --keep ends with an error, which shows it, but
# --remove keeps everybody and says nothing of ids that were not found. Who was to be
# left out, as for withdrawn consent or a failed sample, stays in the analysis. (plink
# 1.9 refuses lists of one column.) We find them by IID, and count ids that are unknown.
#
# The plink2 is Debian's, fetched by apt. Sources: `plink2 --help keep remove`;
# https://www.cog-genomics.org/plink/2.0/filter#sample
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get download plink2=2.00~a3.5-220809+dfsg-1+b2 >/dev/null 2>&1
dpkg-deb -x plink2_*.deb .
usr/bin/plink2 --version
for k in 1 2 3 4; do
    printf 'F%s I%s 0 0 1 1\n' "$k" "$k" >>x.fam
done
printf '1\tv1\t0\t1\tA\tG\n' >x.bim
printf '\154\033\001\344' >x.bed
printf '#IID\nI1\nI2\n' >list

code=0
usr/bin/plink2 --bfile x --remove list --make-just-fam --out kept >log 2>&1 || code=$?
left=$(wc -l <kept.fam)
echo "of 4 individuals --remove of 2 leaves $left, exit code $code"
grep -- '--remove' log | tail -1
test "$left" -eq 4

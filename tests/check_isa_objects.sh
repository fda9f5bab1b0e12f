#!/bin/sh
# Rules 2 and 3 of the ISA files (docs/kernels.md):
#   check_isa_objects.sh weak NM OBJECT...         no weak symbol in the ISA objects of an unoptimised build
#   check_isa_objects.sh wide OBJDUMP OBJECT...    no ymm or zmm register in any other object
rule=$1
tool=$2
shift 2
[ $# -gt 0 ] || { echo 'no objects given'; exit 2; }
failed=0
for object in "$@"; do
  case $object in
    *florence2_isa.dir*) [ "$rule" = wide ] && continue ;;
  esac
  [ -r "$object" ] || { echo "$object: not built"; exit 2; }
  if [ "$rule" = weak ]; then
    found=$("$tool" -C "$object" | grep -E ' [uVvWw] ')
  else
    found=$("$tool" -d "$object" | grep -E '%[yz]mm' | head -n 3)
  fi
  [ -z "$found" ] && continue
  printf '%s:\n%s\n' "$object" "$found"
  failed=1
done
exit $failed

#!/bin/sh
# Rule 1 of the ISA files (docs/kernels.md): what they may include. check_isa_sources.sh SOURCE_DIR
cd "$1/kernels" || exit 2
failed=0

complain() {
  [ -z "$2" ] && return
  printf '%s:\n%s\n' "$1" "$2"
  failed=1
}

allowed='<immintrin\.h>|<arm_neon\.h>|<cstdint>|<cstddef>|"kernels/table\.hpp"|"kernels/simd/[a-z0-9_]*-inl\.hpp"'
complain 'an ISA file may include only intrinsics, <cstdint>, <cstddef>, kernels/table.hpp and kernels/simd/*-inl.hpp' \
  "$(grep -nE '^ *# *include' isa/*.cpp simd/*-inl.hpp | grep -vE "include *($allowed)")"
complain 'kernels/table.hpp may include only <cstdint> and <cstddef>' \
  "$(grep -nE '^ *# *include' table.hpp | grep -vE '<(cstdint|cstddef)>')"
complain 'kernels/table.hpp may not define functions' "$(grep -nE '\) *(const *)?(noexcept *)?\{|^ *inline ' table.hpp)"
complain '-ffast-math is forbidden' \
  "$(grep -rnE -- '-ffast-math|-Ofast' ../CMakeLists.txt ../CMakePresets.json ../cmake)"
exit $failed

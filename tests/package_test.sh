#!/usr/bin/env bash
# Uses the library as its users do: package_test.sh WAY SOURCE_DIR BUILD_DIR. All that it makes lies in BUILD_DIR/package.
set -euo pipefail
way=$1 source=$2 build=$3
work=$build/package
prefix=$work/prefix
demo=$prefix/share/florence2/demo
caption='A red sign, a white hexagon and a yellow heart on a lavender background.'
export FLORENCE2_THREADS=1

fail() {
  echo "package_test: $*" >&2
  exit 1
}

# answers COMMAND...: the command, asked about the demo's first picture, prints its caption.
answers() {
  local answer
  answer=$("$@" "$demo" "$demo/images/scene-1.png")
  [ "$answer" = "$caption" ] || fail "$* answered \"$answer\""
}

# outside NAME CMAKE-OPTION...: configures the project tests/package in a folder of its own.
outside() {
  local name=$1
  shift
  cmake -G Ninja -S "$source/tests/package" -B "$work/$name" -DCMAKE_BUILD_TYPE=Release "$@" >"$work/$name.log" ||
    fail "cannot configure: $(tail -n 5 "$work/$name.log")"
}

install_library() {
  rm -rf "$work"
  mkdir -p "$work"
  cmake --install "$build" --prefix "$prefix" >"$work/install.log"
}

# find_package KIND: the installed package.
find_package() {
  outside "$1" -DCMAKE_PREFIX_PATH="$prefix" -DFLORENCE2_KIND="$1"
  cmake --build "$work/$1" >>"$work/$1.log" || fail "cannot build: $(tail -n 9 "$work/$1.log")"
  [ "$(cat "$work/$1/demo_folder")" = "$demo" ] || fail "florence2_DEMO_DIR is $(cat "$work/$1/demo_folder")"
  answers "$work/$1/ask"
}

# From C, without CMake; the .a needs its name and what it depends on.
pkg_config() {
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
  [ "$(cd "$(pkg-config --variable=demodir florence2)" && pwd)" = "$demo" ] || fail "demodir is not $demo"
  cc -std=c99 "$source/tests/package/ask.c" -o "$work/ask-shared" $(pkg-config --cflags --libs florence2)
  answers "$work/ask-shared"
  unset LD_LIBRARY_PATH
  cc -std=c99 "$source/tests/package/ask.c" -o "$work/ask-static" \
    $(pkg-config --static --cflags --libs florence2 | sed 's/-lflorence2/-l:libflorence2.a/')
  answers "$work/ask-static"
}

# Builds nothing, but everything that can go wrong before a compiler runs does: names, scopes, paths. WAY full builds.
subdirectory() {
  outside subdirectory -DFLORENCE2_SOURCE="$source" -DBUILD_SHARED_LIBS="$1"
  if [ "$2" = full ]; then
    cmake --build "$work/subdirectory" >>"$work/subdirectory.log"
    answers "$work/subdirectory/ask"
  else
    ninja -C "$work/subdirectory" -n ask >>"$work/subdirectory.log"
    ninja -C "$work/subdirectory" CMakeFiles/ask.dir/ask.cpp.o >>"$work/subdirectory.log"
  fi
}

# The shared library shows the public names and nothing else, under its soname.
symbols() {
  local library=$prefix/lib/libflorence2.so shown others
  shown=$(nm -D --defined-only "$library" | cut -d ' ' -f 3)
  others=$(grep -vE '^(fl2_|_ZNK?9florence2)' <<<"$shown" || true)
  [ -z "$others" ] || fail "also shown: $others"
  readelf -d "$library" | grep 'SONAME.*libflorence2.so.[0-9]' >"$work/soname" || fail "no soname"
  # Not into grep -q: it leaves at the first match, and under pipefail the writer's broken pipe would count.
  local declared missing=""
  for declared in $(grep -oE '\bfl2_[a-z0-9_]+\(' "$source/model/florence2.h" | sort -u | tr -d '('); do
    grep -qx "$declared" <<<"$shown" || missing+=" $declared"
  done
  [ -z "$missing" ] || fail "declared in florence2.h but not shown:$missing"
  grep -nE '^[A-Za-z][A-Za-z0-9_:<>, ]* [a-z_0-9]+\(' "$source/model/florence2.hpp" | grep -vE 'FLORENCE2_API|:inline' &&
    fail "florence2.hpp declares these without FLORENCE2_API"
  return 0
}

# The installed program finds the demo checkpoint beside it.
program() {
  local folder
  folder=$(env -u FLORENCE2_MODEL "$prefix/bin/florence2" info -q --format json | grep -oE "[^\"]*share/florence2/demo" | head -n 1)
  [ "$folder" = "$demo" ] || fail "the installed program uses \"$folder\""
}

# example LANGUAGE: README's first program in that language.
example() { awk -v fence="\`\`\`$1" '$0 == fence {on = 1; next} /^```/ {if (on) exit} on' "$source/README.md"; }

# prints TEXT COMMAND...: the command's output has the text.
prints() {
  local text=$1 printed
  shift
  printed=$("$@") || fail "README's $* fails"
  grep -qF "$text" <<<"$printed" || fail "README's $* printed \"$printed\", not \"$text\""
}

# README's library examples, as they stand there, in a folder that has the files they name.
readme() {
  local folder=$work/readme
  rm -rf "$folder"
  mkdir -p "$folder"
  ln -s "$demo" "$folder/Florence-2-base"
  ln -s "$demo/images/scene-1.png" "$folder/street.jpg"
  example cmake >"$folder/CMakeLists.txt"
  example cpp >"$folder/ask.cpp"
  example c >"$folder/ask.c"
  example python >"$folder/ask.py"
  cd "$folder"
  cmake -G Ninja -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >log
  cmake --build build >>log || fail "README's examples do not compile: $(tail -n 9 log)"
  prints "$caption" build/ask
  prints 'hexagon' build/ask
  prints 'hexagon' build/ask_c
  if ! python3 -c 'import numpy' 2>/dev/null; then
    echo "package_test: README's Python example skipped, no numpy"
    return
  fi
  export PYTHONPATH=$source/python FLORENCE2_LIBRARY=$prefix/lib/libflorence2.so
  prints "$caption" python3 ask.py
}

# pip builds a wheel, which works in an environment of its own. Needs scikit-build-core.
wheel() {
  python3 -c 'import pip, numpy, scikit_build_core' 2>/dev/null || exit 4
  python3 -m pip wheel -q --no-deps --no-build-isolation -w "$work/wheel" "$source"
  python3 -m pip install -q --no-deps --target "$work/site" "$work"/wheel/florence2-*.whl
  cd "$work" # away from the source tree
  PYTHONPATH=$work/site python3 -c "
import florence2
print(florence2.Model('$demo').runner(1).ask('$demo/images/scene-1.png', 'caption')['<CAPTION>'])" | grep -qxF "$caption"
}

case $way in
  install) install_library ;;
  static | shared) find_package "$way" ;;
  pkg-config) pkg_config ;;
  subdirectory) subdirectory OFF configure ;;
  subdirectory-full) subdirectory ON full ;;
  symbols | program | readme | wheel) "$way" ;;
  *) fail "unknown way \"$way\"" ;;
esac

#!/bin/sh
# Checks the direction of includes between folders (docs/design.md, "Layers"): check_layers.sh SOURCE_DIR
cd "$1" || exit 2
failed=0

# complain FOLDERS PATTERN ALLOWED MESSAGE: lines of sources in FOLDERS that match PATTERN but not ALLOWED.
complain() {
  found=$(grep -rnE --include='*.hpp' --include='*.cpp' --include='*.h' -- "$2" $1 | grep -vE -- "$3")
  [ -z "$found" ] && return
  printf '%s:\n%s\n' "$4" "$found"
  failed=1
}

# layer FOLDER ALLOWED_FOLDERS...
layer() {
  folder=$1
  shift
  allowed=$(printf '%s|' "$@")
  complain "$folder" '^ *# *include *"[a-z0-9_]+/' "include *\"(${allowed%|})/" "$folder may include only from: $*"
}

layer core core
layer kernels core kernels
layer tokenizer core tokenizer
layer weights core kernels weights
layer model core kernels tokenizer weights model
layer tools core tokenizer weights model tools

complain 'core kernels tokenizer weights model tools' 'include *<nlohmann' '^core/json\.cpp:' 'nlohmann-json is for core/json.cpp alone'
complain 'core kernels tokenizer weights model tools' 'include *<(Eigen|catch2|benchmark)' '^$' 'Eigen, Catch2 and Google Benchmark are for tests and bench'
complain 'core kernels tokenizer weights model tools' 'include *<(omp\.h|.*intrin\.h|arm_neon\.h)>|# *pragma omp' \
  '^kernels/isa/' 'no OpenMP; intrinsics are for kernels/isa'
complain 'core kernels tokenizer weights model' 'include *<(thread|mutex|condition_variable)>' \
  '^kernels/thread_pool\.' 'threads are for kernels/thread_pool'
complain 'kernels' 'Florence-2|BART|DaViT|<loc_' '^$' 'kernels do not know the model'
# One namespace holds all folders, so two types of one name are one type to the linker, with either one's destructor.
twice=$(grep -rhoE '^(struct|class|enum class) (FLORENCE2_API )?[A-Za-z0-9_]+ [^;]*\{' --include='*.hpp' --exclude-dir=simd core kernels tokenizer weights model tools |
  sed -E 's/^(struct|class|enum class) (FLORENCE2_API )?([A-Za-z0-9_]+).*/\3/' | sort | uniq -d)
if [ -n "$twice" ]; then
  echo "types that two headers define: $twice"
  failed=1
fi
exit $failed

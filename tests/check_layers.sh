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
exit $failed

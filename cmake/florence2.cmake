# Build rules that every folder shares.

add_library(florence2_options INTERFACE)
target_include_directories(florence2_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(florence2_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                            $<$<BOOL:${FLORENCE2_WERROR}>:-Werror> -fno-math-errno -fno-trapping-math>)
if(FLORENCE2_SANITIZE)
  target_compile_options(florence2_options INTERFACE
    -fsanitize=${FLORENCE2_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(florence2_options INTERFACE -fsanitize=${FLORENCE2_SANITIZE})
  target_compile_definitions(florence2_options INTERFACE _GLIBCXX_ASSERTIONS FLORENCE2_SANITIZED)
endif()

# florence2_library(folder dependency...): static library florence2_<folder> from folder/*.cpp.
function(florence2_library folder)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  add_library(florence2_${folder} STATIC ${sources})
  target_link_libraries(florence2_${folder} PUBLIC florence2_options ${ARGN})
endfunction()

# The ISA files of kernels/isa, each compiled for its instruction set and nothing else for any.
function(florence2_isa_sources)
  set(flags_scalar "")
  set(flags_avx2 -mavx2 -mfma -mf16c)
  # g++ 12's own AVX-512 header passes undefined registers through its masked builtins, on purpose, and warns about them.
  set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl
      $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  set(flags_avx2_vnni ${flags_avx2} -mavxvnni)
  set(flags_avx512_vnni ${flags_avx512} -mavx512vnni)
  set(flags_avx512_bf16 ${flags_avx512_vnni} -mavx512bf16)
  set(flags_amx ${flags_avx512_bf16} -mamx-tile -mamx-int8 -mamx-bf16)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(isas scalar avx2 avx2_vnni avx512 avx512_vnni avx512_bf16 amx)
  else()
    set(isas scalar)
  endif()
  add_library(florence2_isa OBJECT)
  foreach(isa IN LISTS isas)
    set(file ${PROJECT_SOURCE_DIR}/kernels/isa/${isa}.cpp)
    target_sources(florence2_isa PRIVATE ${file})
    # g++ 12's partial redundancy elimination sees that all sums of a tile start from the same zero, and spills half of them.
    # A sanitizer's check of every address that is computed costs a third of the time to compile; what lies there is checked.
    set_source_files_properties(${file} PROPERTIES
      COMPILE_OPTIONS "${flags_${isa}};$<$<CONFIG:Release>:-O3>;$<$<CXX_COMPILER_ID:GNU>:-fno-tree-pre>;-ffp-contract=off;-fno-lto;-fno-sanitize=pointer-overflow")
  endforeach()
  target_link_libraries(florence2_isa PRIVATE florence2_options)
  target_sources(florence2_kernels PRIVATE $<TARGET_OBJECTS:florence2_isa>)
  if("avx2" IN_LIST isas)
    target_compile_definitions(florence2_kernels PRIVATE FLORENCE2_X86=1)
  endif()
endfunction()

# florence2_version(target): version and git commit for model/version.cpp. The commit is looked up at every build, in a
# header of its own, so that a new commit recompiles one file.
function(florence2_version target)
  set(header ${PROJECT_BINARY_DIR}/generated/florence2_commit.hpp)
  add_custom_target(florence2_commit
    COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DOUTPUT=${header}
            -P ${PROJECT_SOURCE_DIR}/cmake/write_commit.cmake
    BYPRODUCTS ${header} VERBATIM)
  add_dependencies(${target} florence2_commit)
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/generated)
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/model/version.cpp TARGET_DIRECTORY ${target} APPEND PROPERTY
    COMPILE_DEFINITIONS FLORENCE2_VERSION="${PROJECT_VERSION}")
endfunction()

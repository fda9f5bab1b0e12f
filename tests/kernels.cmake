# The kernel tests: their support library, the emulated tables, and the rules for ISA files.
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_path(FLORENCE2_SIMDE simde/x86/avx512.h DOC "SIMDe, which runs the avx512 table on CPUs without AVX-512")

add_library(florence2_kernel_support STATIC kernel_support.cpp reference.cpp)
target_link_libraries(florence2_kernel_support PUBLIC florence2_kernels florence2_test_support Eigen3::Eigen)

if(FLORENCE2_SIMDE AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # Vectors twice as long as the CPU's are passed in memory (-Wno-psabi). -O1: a tenth slower than -O2, built in half the time.
  add_library(florence2_emulation INTERFACE)
  target_include_directories(florence2_emulation INTERFACE ${PROJECT_SOURCE_DIR} emulated)
  target_include_directories(florence2_emulation SYSTEM INTERFACE ${FLORENCE2_SIMDE})
  target_compile_options(florence2_emulation INTERFACE -mavx2 -mfma -mf16c -ffp-contract=off -Wno-psabi -O1)

  add_library(florence2_emulated OBJECT emulated/avx512.cpp emulated/avx512_vnni.cpp emulated/avx512_bf16.cpp
    emulated/avx2_vnni.cpp emulated/amx.cpp)
  target_link_libraries(florence2_emulated PRIVATE florence2_emulation)
  target_compile_definitions(florence2_kernel_support PRIVATE FLORENCE2_EMULATED=1)
  target_sources(florence2_kernel_support PRIVATE $<TARGET_OBJECTS:florence2_emulated>)

  # The program as a CPU with AMX would answer, for tools/demo/quality.py --program. Built when asked for.
  add_library(florence2_amx_in_place OBJECT EXCLUDE_FROM_ALL emulated/amx_in_place.cpp)
  target_link_libraries(florence2_amx_in_place PRIVATE florence2_emulation)
  add_executable(florence2_amx_emulated EXCLUDE_FROM_ALL ../tools/florence2_cli.cpp)
  target_link_libraries(florence2_amx_emulated PRIVATE florence2_amx_in_place florence2_tools)
else()
  message(STATUS "SIMDe not found: the AVX-512, VNNI and AMX tables are tested only where the CPU has them")
endif()

foreach(name thread_pool packing panels matmul rows matmul8 matmul_bf16 rowwise attention attention_bf16 attention_fixed convolution isa)
  florence2_test(${name}_test florence2_kernel_support)
endforeach()

# The rules of docs/kernels.md, "The rules for ISA files", and docs/design.md, "Layers".
add_test(NAME check_layers COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/check_layers.sh ${PROJECT_SOURCE_DIR})
add_test(NAME check_isa_sources COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/check_isa_sources.sh ${PROJECT_SOURCE_DIR})

# Without optimisation an inline function that escaped the anonymous namespace shows as a weak symbol; -O2 would hide it.
get_target_property(isa_sources florence2_isa SOURCES)
add_library(florence2_isa_debug OBJECT ${isa_sources})
target_include_directories(florence2_isa_debug PRIVATE ${PROJECT_SOURCE_DIR})
foreach(file IN LISTS isa_sources)
  get_source_file_property(flags ${file} TARGET_DIRECTORY florence2_isa COMPILE_OPTIONS)
  set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${flags};-O0;-w")
endforeach()
add_test(NAME check_isa_weak_symbols COMMAND_EXPAND_LISTS
  COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/check_isa_objects.sh weak ${CMAKE_NM} $<TARGET_OBJECTS:florence2_isa_debug>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  foreach(folder core kernels tokenizer weights model)
    list(APPEND baseline_objects $<TARGET_OBJECTS:florence2_${folder}>)
  endforeach()
  add_test(NAME check_baseline_registers COMMAND_EXPAND_LISTS
    COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/check_isa_objects.sh wide ${CMAKE_OBJDUMP} ${baseline_objects})
endif()

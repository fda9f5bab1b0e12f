# Tests of the C API, in strict C99.
# florence2_c_test(name): the program name.c as one test.
function(florence2_c_test name)
  add_executable(${name} ${name}.c)
  target_link_libraries(${name} PRIVATE florence2_model)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -pedantic -Werror)
  target_compile_definitions(${name} PRIVATE FLORENCE2_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES C_EXTENSIONS OFF LINKER_LANGUAGE CXX)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT FLORENCE2_THREADS=1)
endfunction()

florence2_c_test(c_api_test)
# LeakSanitizer watches: as a part of AddressSanitizer, or by itself, which needs nothing of the library's objects.
florence2_c_test(c_rounds_test)
if(NOT FLORENCE2_SANITIZE)
  target_link_options(c_rounds_test PRIVATE -fsanitize=leak)
endif()

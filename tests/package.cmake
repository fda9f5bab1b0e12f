# Tests of what users install. Not under sanitizers, which their programs would have to be built with, too.
if(FLORENCE2_SANITIZE OR NOT FLORENCE2_INSTALL)
  return()
endif()

# package_test(way): package_test.sh on the installed library, which the test "package: install" makes.
function(package_test way)
  add_test(NAME "package: ${way}"
    COMMAND ${PROJECT_SOURCE_DIR}/tests/package_test.sh ${way} ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  set_tests_properties("package: ${way}" PROPERTIES LABELS "package;${ARGN}" SKIP_RETURN_CODE 4
    FIXTURES_REQUIRED package ENVIRONMENT "CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
endfunction()

foreach(way IN ITEMS install static shared pkg-config subdirectory symbols program readme)
  package_test(${way})
endforeach()
set_tests_properties("package: install" PROPERTIES FIXTURES_REQUIRED "" FIXTURES_SETUP package)
# Both compile the library again.
foreach(way IN ITEMS subdirectory-full wheel)
  package_test(${way} slow)
endforeach()

# The Python package over the shared library. The program's own interpreter is the user's: python3, with numpy.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME python_test COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/python_test.py)
  set_tests_properties(python_test PROPERTIES SKIP_RETURN_CODE 4
    ENVIRONMENT "FLORENCE2_THREADS=1;PYTHONDONTWRITEBYTECODE=1;FLORENCE2_LIBRARY=$<TARGET_FILE:florence2_shared>")
endif()

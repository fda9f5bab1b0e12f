# Every output format, read back by independent readers; those that are not installed are skipped.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_executable(format_samples format_samples.cpp)
  target_link_libraries(format_samples PRIVATE florence2_options florence2_tools)
  set(samples ${CMAKE_CURRENT_BINARY_DIR}/format_samples.out)
  add_test(NAME "formats: write" COMMAND format_samples ${samples})
  set_tests_properties("formats: write" PROPERTIES FIXTURES_SETUP format_samples)
  foreach(reader standard pycocotools supervision)
    add_test(NAME "formats: ${reader}"
      COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/read_formats.py ${samples} ${reader})
    set_tests_properties("formats: ${reader}" PROPERTIES FIXTURES_REQUIRED format_samples SKIP_RETURN_CODE 4)
  endforeach()
endif()

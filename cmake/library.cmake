# The library `florence2`: the folders' objects as one library, its public headers, and what find_package and pkg-config need.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(florence2_objects "")
foreach(folder IN ITEMS core kernels isa tokenizer weights model)
  list(APPEND florence2_objects $<TARGET_OBJECTS:florence2_${folder}>)
endforeach()
add_library(florence2_public ${florence2_objects})
add_library(florence2::florence2 ALIAS florence2_public)
target_link_libraries(florence2_public PRIVATE JPEG::JPEG GIF::GIF PkgConfig::SPNG PkgConfig::WEBP PkgConfig::UTF8PROC)
if(FLORENCE2_OPENMP)
  target_link_libraries(florence2_public PRIVATE OpenMP::OpenMP_CXX)
endif()
target_compile_features(florence2_public INTERFACE cxx_std_20)
# While the major version is 0, a new minor version may break what the last one promised.
set(florence2_abi ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(florence2_abi 0.${PROJECT_VERSION_MINOR})
endif()
set_target_properties(florence2_public PROPERTIES
  OUTPUT_NAME florence2 EXPORT_NAME florence2 LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${florence2_abi}
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
if(BUILD_SHARED_LIBS)
  # Hidden visibility leaves the templates of the standard library visible; the script hides them too.
  set(florence2_exports ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  target_link_options(florence2_public PRIVATE -Wl,--version-script=${florence2_exports})
  set_property(TARGET florence2_public APPEND PROPERTY LINK_DEPENDS ${florence2_exports})
endif()

# Public headers include each other relative to themselves, so that <florence2/…> is the one path a user needs, in the build
# tree (links) as after installation.
set(florence2_headers model/florence2.hpp core/result.hpp core/export.h)
foreach(header IN LISTS florence2_headers)
  string(REGEX REPLACE "^model/" "" name ${header})
  cmake_path(GET name PARENT_PATH folder)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include/florence2/${folder})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${header} ${PROJECT_BINARY_DIR}/include/florence2/${name} SYMBOLIC)
  if(FLORENCE2_INSTALL)
    install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/florence2/${folder})
  endif()
endforeach()
target_include_directories(florence2_public INTERFACE
  $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

if(NOT FLORENCE2_INSTALL)
  return()
endif()
set(florence2_cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/florence2)
set(florence2_demo_folder ${CMAKE_INSTALL_DATADIR}/florence2/demo)
install(TARGETS florence2_public EXPORT florence2)
install(EXPORT florence2 FILE florence2-targets.cmake NAMESPACE florence2:: DESTINATION ${florence2_cmake_folder})
install(DIRECTORY weights/demo/ DESTINATION ${florence2_demo_folder})

configure_package_config_file(cmake/florence2-config.cmake.in florence2-config.cmake
  INSTALL_DESTINATION ${florence2_cmake_folder} PATH_VARS florence2_demo_folder)
write_basic_package_version_file(florence2-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/florence2-config.cmake ${PROJECT_BINARY_DIR}/florence2-config-version.cmake
  DESTINATION ${florence2_cmake_folder})

set(florence2_private_libs "-lgif -lstdc++ -lm")
if(FLORENCE2_OPENMP)
  string(APPEND florence2_private_libs " ${OpenMP_CXX_FLAGS}")
endif()
file(RELATIVE_PATH florence2_prefix_from_pc "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" /)
configure_file(cmake/florence2.pc.in florence2.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/florence2.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

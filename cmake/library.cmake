# The library `florence2`: the folders' objects as a static and as a shared library, the public headers, and what find_package
# and pkg-config need. BUILD_SHARED_LIBS says which of the two florence2::florence2 is.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Public headers include each other relative to themselves, so that <florence2/…> is the one path a user needs, in the build
# tree (links) as after installation.
foreach(header IN ITEMS model/florence2.hpp model/florence2.h core/result.hpp core/export.h)
  string(REGEX REPLACE "^model/" "" name ${header})
  cmake_path(GET name PARENT_PATH folder)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include/florence2/${folder})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${header} ${PROJECT_BINARY_DIR}/include/florence2/${name} SYMBOLIC)
  if(FLORENCE2_INSTALL)
    install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/florence2/${folder})
  endif()
endforeach()

set(florence2_objects "")
foreach(folder IN ITEMS core kernels isa tokenizer weights model)
  list(APPEND florence2_objects $<TARGET_OBJECTS:florence2_${folder}>)
endforeach()

# While the major version is 0, a new minor version may break what the last one promised.
set(florence2_abi ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(florence2_abi 0.${PROJECT_VERSION_MINOR})
endif()

foreach(kind IN ITEMS static shared)
  string(TOUPPER ${kind} type)
  add_library(florence2_${kind} ${type} ${florence2_objects})
  add_library(florence2::${kind} ALIAS florence2_${kind})
  target_link_libraries(florence2_${kind} PRIVATE
    JPEG::JPEG GIF::GIF PkgConfig::FLORENCE2_SPNG PkgConfig::FLORENCE2_WEBP PkgConfig::FLORENCE2_UTF8PROC Threads::Threads m)
  target_include_directories(florence2_${kind} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(florence2_${kind} INTERFACE cxx_std_20)
  set_target_properties(florence2_${kind} PROPERTIES
    OUTPUT_NAME florence2 EXPORT_NAME ${kind} LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${florence2_abi})
endforeach()
# Hidden visibility leaves the templates of the standard library visible; the script hides them too.
set(florence2_exports ${PROJECT_SOURCE_DIR}/cmake/exports.map)
target_link_options(florence2_shared PRIVATE -Wl,--version-script=${florence2_exports})
set_target_properties(florence2_shared PROPERTIES LINK_DEPENDS ${florence2_exports})

if(SKBUILD)
  # A wheel (pyproject.toml) cannot hold links: one file, loaded by its path.
  set_property(TARGET florence2_shared PROPERTY VERSION)
  set_property(TARGET florence2_shared PROPERTY SOVERSION)
  install(TARGETS florence2_shared LIBRARY DESTINATION florence2 COMPONENT python)
endif()

set(florence2_kind static)
if(BUILD_SHARED_LIBS)
  set(florence2_kind shared)
endif()
add_library(florence2::florence2 ALIAS florence2_${florence2_kind})

if(NOT FLORENCE2_INSTALL)
  # A project that adds this one as a subdirectory builds the kind it links, no other.
  set_target_properties(florence2_static florence2_shared PROPERTIES EXCLUDE_FROM_ALL ON)
  return()
endif()
set(florence2_cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/florence2)
set(florence2_demo_folder ${CMAKE_INSTALL_DATADIR}/florence2/demo)
install(TARGETS florence2_static florence2_shared EXPORT florence2)
install(EXPORT florence2 FILE florence2-targets.cmake NAMESPACE florence2:: DESTINATION ${florence2_cmake_folder})
install(DIRECTORY weights/demo/ DESTINATION ${florence2_demo_folder})

configure_package_config_file(cmake/florence2-config.cmake.in florence2-config.cmake
  INSTALL_DESTINATION ${florence2_cmake_folder} PATH_VARS florence2_demo_folder)
write_basic_package_version_file(florence2-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/florence2-config.cmake ${PROJECT_BINARY_DIR}/florence2-config-version.cmake
  DESTINATION ${florence2_cmake_folder})

file(RELATIVE_PATH florence2_prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/florence2.pc.in florence2.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/florence2.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

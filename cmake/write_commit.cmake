# Script (cmake -P): writes OUTPUT with the commit of SOURCE_DIR, touching the file only when that changes.
execute_process(COMMAND git describe --always --dirty --abbrev=10 --exclude=*
                WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#pragma once\n#define FLORENCE2_COMMIT \"${commit}\"\n")

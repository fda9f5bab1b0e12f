/* Marks what the shared library shows; everything else in it is hidden (cmake/library.cmake). */
#ifndef FLORENCE2_CORE_EXPORT_H_
#define FLORENCE2_CORE_EXPORT_H_

#define FLORENCE2_API __attribute__((visibility("default")))

#endif

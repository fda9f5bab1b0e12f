/* Checks for the C tests: a failed one is printed and counted; main returns report(). */
#ifndef FLORENCE2_TESTS_C_CHECK_H_
#define FLORENCE2_TESTS_C_CHECK_H_

#include <stdio.h>
#include <string.h>

static int failures;
static int checks;

#define CHECK(condition) check((condition) != 0, #condition, __FILE__, __LINE__)
/* The call gives `status` and the thread's last error is `message`. */
#define CHECK_FAILS(call, status, message)                       \
  do {                                                           \
    CHECK((call) == (status));                                   \
    check_text(fl2_last_error(), (message), __FILE__, __LINE__); \
  } while (0)
#define CHECK_TEXT(actual, expected) check_text((actual), (expected), __FILE__, __LINE__)

static inline void check(int holds, const char* condition, const char* file, int line) {
  ++checks;
  if (holds) return;
  ++failures;
  fprintf(stderr, "%s:%d: failed: %s\n", file, line, condition);
}

static inline void check_text(const char* actual, const char* expected, const char* file, int line) {
  ++checks;
  if (strcmp(actual, expected) == 0) return;
  ++failures;
  fprintf(stderr, "%s:%d: found \"%s\", expected \"%s\"\n", file, line, actual, expected);
}

static inline int report(void) {
  printf("%d of %d checks failed\n", failures, checks);
  return failures != 0 || checks == 0;
}

#endif

// The commands of the program. Each takes its own arguments (argv[0] is a name) and returns the exit status.
#pragma once

namespace florence2 {

int run_command(int argc, char** argv);
int bench_command(int argc, char** argv);
int info_command(int argc, char** argv);
int download_command(int argc, char** argv);
int tokenize_command(int argc, char** argv);
int parse_command(int argc, char** argv);
int preprocess_command(int argc, char** argv);

}  // namespace florence2

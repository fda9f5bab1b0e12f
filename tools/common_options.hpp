// Options that several commands share.
#pragma once

#include <string>
#include <vector>

#include "model/florence2.hpp"
#include "tools/arguments.hpp"

namespace florence2 {

void add_model_option(Arguments& arguments, std::string& model);
/// "DIR" or "DIR:SCALE", any number of times.
void add_adapter_option(Arguments& arguments, std::vector<AdapterOptions>& adapters);
void add_quiet_option(Arguments& arguments, bool& quiet);
void add_threads_option(Arguments& arguments, int& threads);
void add_precision_option(Arguments& arguments, std::string& precision);
void add_compat_option(Arguments& arguments, Compat& compat);
void add_picture_options(Arguments& arguments, PictureOptions& options);

/// "WIDTHxHEIGHT".
Arguments::Accept size_into(int& width, int& height);
/// "X0,Y0,X1,Y1" in pixels, corners in order.
Result<Box> parse_region(const std::string& value);

}  // namespace florence2

// A folder of output files, most of which belong to one picture.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "tools/inputs.hpp"
#include "tools/output_names.hpp"

namespace florence2 {

/// Makes a file in `folder` (empty: the current one) and removes it: what cannot be written is better known before the
/// answers than after them. Error cannot_create.
Status try_file_in(const std::string& folder);

class OutputFolder {
 public:
  /// Made when it is missing. Empty: files go beside their pictures, and unless `overwrite` those that are there
  /// already are errors. Error cannot_create, also when no file can be made in it.
  static Result<OutputFolder> open(const std::string& path, bool overwrite = false,
                                   SharedNames names = std::make_shared<OutputNames>());

  /// The name of a picture's files without ending, as "holiday/photo", with a number behind it where another picture
  /// has it. A new one at each call.
  std::string claim(const Input& picture);

  /// `stem` + `ending`, with a number between them where the run has written such a file.
  std::string unused(const std::string& stem, const std::string& ending) const;

  /// Writes the file `name` (from claim(), with an ending) at once, and makes the folders that it lies in. Errors as
  /// OutputNames::take() and write_file().
  Status write(std::string_view name, std::string_view bytes) const;

  /// Where `name` lies.
  std::string path(std::string_view name) const;
  /// The path of `picture` from there.
  std::string path_to_picture(std::string_view name, const std::string& picture) const;

 private:
  OutputFolder(std::string path, bool overwrite, SharedNames names)
      : path_(std::move(path)), overwrite_(overwrite), names_(std::move(names)) {}

  std::string path_;
  bool overwrite_;
  SharedNames names_;
  std::set<std::string> used_;
};

}  // namespace florence2

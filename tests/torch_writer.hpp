// Writes pickles and zip files for tests, sound and otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace florence2::test {

inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// Pieces of a pickle.
inline std::string p_text(const std::string& text) { return "X" + little_endian(text.size(), 4) + text; }
inline std::string p_int(std::int32_t value) { return "J" + little_endian(static_cast<std::uint32_t>(value), 4); }
inline std::string p_long(std::int64_t value) {
  return "\x8a\x08" + little_endian(static_cast<std::uint64_t>(value), 8);
}
inline std::string p_global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string p_stack_global(const std::string& module, const std::string& name) {
  return p_text(module) + p_text(name) + "\x93";
}
inline std::string p_tuple(const std::string& items) { return "(" + items + "t"; }
inline std::string p_call(const std::string& callable, const std::string& args) {
  return callable + p_tuple(args) + "R";
}
inline std::string p_storage(const std::string& type, const std::string& key, std::int64_t elements) {
  return p_tuple(p_text("storage") + p_global("torch", type) + p_text(key) + p_text("cpu") + p_long(elements)) + "Q";
}
/// `shape` and `strides` as pickled tuples.
inline std::string p_tensor(const std::string& storage, std::int64_t first, const std::string& shape,
                            const std::string& strides) {
  return p_call(p_global("torch._utils", "_rebuild_tensor_v2"), storage + p_long(first) + shape + strides + "\x89" +
                                                                    p_call(p_global("collections", "OrderedDict"), ""));
}
/// {items}, items being keys and values in turn.
inline std::string p_dict(const std::string& items) { return "\x80\x02}(" + items + "u."; }

struct ZipEntry {
  std::string name, data;
  int method = 0, flags = 0;
};

/// A zip file of stored members. `shift` is added to every offset of the directory.
inline std::string zip_of(const std::vector<ZipEntry>& entries, int shift = 0) {
  std::string file, directory;
  for (const ZipEntry& entry : entries) {
    const std::string sizes = little_endian(entry.data.size(), 4) + little_endian(entry.data.size(), 4);
    const std::string head = little_endian(static_cast<std::uint64_t>(entry.flags), 2) +
                             little_endian(static_cast<std::uint64_t>(entry.method), 2) + std::string(8, '\0') + sizes +
                             little_endian(entry.name.size(), 2) + little_endian(0, 2);
    directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + head + std::string(10, '\0') +
                 little_endian(file.size() + static_cast<std::size_t>(shift), 4) + entry.name;
    file += "PK\3\4" + little_endian(20, 2) + head + entry.name + entry.data;
  }
  return file + directory + "PK\5\6" + std::string(4, '\0') + little_endian(entries.size(), 2) +
         little_endian(entries.size(), 2) + little_endian(directory.size(), 4) + little_endian(file.size(), 4) +
         little_endian(0, 2);
}

/// A torch file with this pickle and storages {key, bytes}.
inline std::string torch_file_of(const std::string& pickle, const std::vector<ZipEntry>& storages = {}) {
  std::vector<ZipEntry> entries = {{"archive/data.pkl", pickle}};
  for (const ZipEntry& storage : storages) entries.push_back({"archive/data/" + storage.name, storage.data});
  entries.push_back({"archive/version", "3\n"});
  return zip_of(entries);
}

}  // namespace florence2::test

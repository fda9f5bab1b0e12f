#include "weights/zip_directory.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace florence2 {
namespace {

// Signatures and fixed sizes of the records (PKWARE's APPNOTE.TXT, section 4.3).
constexpr std::string_view kEndSignature = "PK\5\6", kEnd64Signature = "PK\6\6", kLocator64Signature = "PK\6\7",
                           kEntrySignature = "PK\1\2", kLocalSignature = "PK\3\4";
constexpr std::int64_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kEntryBytes = 46, kLocalBytes = 30;
constexpr std::int64_t kMaxComment = 65'535;
constexpr std::int64_t kMaxDirectoryBytes = std::int64_t{16} << 20;
constexpr std::uint64_t kIn64 = 0xFFFFFFFF;  // the value stands in the zip64 record
constexpr std::uint64_t kMaxMembers = 140'000;
constexpr int kStored = 0;
constexpr std::uint64_t kEncrypted = 1;
constexpr std::uint64_t kZip64Extra = 1;

/// Little-endian numbers of a record; the caller keeps inside it.
std::uint64_t number(std::string_view record, std::size_t at, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(record[at + static_cast<std::size_t>(i)])} << (8 * i);
  }
  return value;
}

struct Directory {
  std::uint64_t offset = 0, bytes = 0, members = 0;
};

class Reader {
 public:
  explicit Reader(const File& file) : file_(file) {}

  Result<std::vector<ZipMember>> read() {
    FL_ASSIGN(const Directory directory, find());
    FL_ASSIGN(const std::string records,
              bytes(static_cast<std::int64_t>(directory.offset), static_cast<std::int64_t>(directory.bytes)));
    std::vector<ZipMember> members;
    std::string_view rest = records;
    while (!rest.empty()) {
      FL_ASSIGN(ZipMember member, entry(rest));
      if (!names_.insert(member.name).second) return fail("member \"" + member.name + "\" is listed twice");
      members.push_back(std::move(member));
    }
    if (members.size() != directory.members) {
      return fail("the zip directory lists " + std::to_string(members.size()) + " members, expected " +
                  std::to_string(directory.members));
    }
    FL_TRY(locate(members, static_cast<std::int64_t>(directory.offset)));
    return members;
  }

 private:
  Error fail(std::string message) const { return {ErrorCode::model, std::move(message), file_.path()}; }

  Result<std::string> bytes(std::int64_t offset, std::int64_t count) const {
    if (offset < 0 || count < 0 || offset > file_.size() || count > file_.size() - offset) {
      return fail("the zip directory points outside the file; truncated?");
    }
    std::string text(static_cast<std::size_t>(count), '\0');
    FL_TRY(file_.read(offset, std::as_writable_bytes(std::span(text))));
    return text;
  }

  /// The end record is the last thing in the file but for a comment.
  Result<Directory> find() const {
    const std::int64_t tail_bytes = std::min(file_.size(), kEndBytes + kMaxComment);
    FL_ASSIGN(const std::string tail, bytes(file_.size() - tail_bytes, tail_bytes));
    const std::size_t at = tail.rfind(kEndSignature);
    if (at == tail.npos || tail.size() - at < kEndBytes) {
      return fail("the zip directory at the end is missing; the download did not finish?");
    }
    const std::string_view end = std::string_view(tail).substr(at);
    Directory directory{number(end, 16, 4), number(end, 12, 4), number(end, 10, 2)};
    FL_ASSIGN(const auto directory64, find64(file_.size() - tail_bytes + static_cast<std::int64_t>(at)));
    if (directory64) directory = *directory64;
    if (directory.bytes > static_cast<std::uint64_t>(kMaxDirectoryBytes) || directory.members > kMaxMembers) {
      return fail("the zip directory has " + std::to_string(directory.bytes) + " bytes and " +
                  std::to_string(directory.members) + " members, limits 16 MiB and 140,000");
    }
    if (directory.offset > static_cast<std::uint64_t>(file_.size())) {
      return fail("the zip directory points outside the file; truncated?");
    }
    return directory;
  }

  /// The zip64 record, whose locator stands in front of the end record where there is one.
  Result<std::optional<Directory>> find64(std::int64_t end_offset) const {
    if (end_offset < kLocator64Bytes) return std::optional<Directory>();
    FL_ASSIGN(const std::string locator, bytes(end_offset - kLocator64Bytes, kLocator64Bytes));
    if (!locator.starts_with(kLocator64Signature)) return std::optional<Directory>();
    FL_ASSIGN(const std::string end, bytes(static_cast<std::int64_t>(number(locator, 8, 8)), kEnd64Bytes));
    if (!end.starts_with(kEnd64Signature)) return fail("the zip64 directory is missing");
    return std::optional(Directory{number(end, 48, 8), number(end, 40, 8), number(end, 32, 8)});
  }

  /// The first record of `records`, which is taken off; the member's offset is that of its local header.
  Result<ZipMember> entry(std::string_view& records) const {
    if (records.size() < kEntryBytes || !records.starts_with(kEntrySignature)) {
      return fail("the zip directory is damaged");
    }
    const std::size_t name_size = number(records, 28, 2), extra_size = number(records, 30, 2);
    const std::size_t size = kEntryBytes + name_size + extra_size + number(records, 32, 2);
    if (records.size() < size) return fail("the zip directory is damaged");
    const std::string_view record = records.substr(0, size);
    records.remove_prefix(size);

    const std::string name(record.substr(kEntryBytes, name_size));
    if (number(record, 10, 2) != kStored || (number(record, 8, 2) & kEncrypted) != 0) {
      return fail("member \"" + name + "\" is compressed or encrypted; torch stores members as they are");
    }
    std::uint64_t bytes = number(record, 24, 4), stored = number(record, 20, 4), offset = number(record, 42, 4);
    std::string_view extra = record.substr(kEntryBytes + name_size, extra_size);
    if (!widen(extra, {&bytes, &stored, &offset}) || bytes != stored) {
      return fail("member \"" + name + "\": the directory contradicts itself about its size");
    }
    return ZipMember{name, static_cast<std::int64_t>(offset), static_cast<std::int64_t>(bytes)};
  }

  /// Replaces the numbers that did not fit 32 bits by those of the zip64 field, which lists only them, in this order.
  static bool widen(std::string_view extra, std::initializer_list<std::uint64_t*> numbers) {
    std::string_view field;
    while (extra.size() >= 4) {
      const std::size_t size = number(extra, 2, 2);
      if (size > extra.size() - 4) return false;
      if (number(extra, 0, 2) == kZip64Extra) field = extra.substr(4, size);
      extra.remove_prefix(4 + size);
    }
    for (std::uint64_t* one : numbers) {
      if (*one != kIn64) continue;
      if (field.size() < 8) return false;
      *one = number(field, 0, 8);
      field.remove_prefix(8);
    }
    return true;
  }

  /// Turns the offsets of local headers into those of the data behind them.
  Status locate(std::vector<ZipMember>& members, std::int64_t directory_offset) const {
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
    for (ZipMember& member : members) {
      FL_ASSIGN(const std::string header, bytes(member.offset, kLocalBytes));
      const std::int64_t begin = member.offset;
      member.offset += kLocalBytes + static_cast<std::int64_t>(number(header, 26, 2) + number(header, 28, 2));
      const std::int64_t room = directory_offset - member.offset;
      if (!header.starts_with(kLocalSignature) || member.bytes < 0 || member.bytes > room) {
        return fail("member \"" + member.name + "\" does not lie in front of the zip directory");
      }
      ranges.emplace_back(begin, member.offset + member.bytes);
    }
    std::sort(ranges.begin(), ranges.end());
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      if (ranges[i].first < ranges[i - 1].second) return fail("members of the zip file overlap");
    }
    return {};
  }

  const File& file_;
  std::unordered_set<std::string> names_;
};

}  // namespace

Result<std::vector<ZipMember>> read_zip_directory(const File& file) { return Reader(file).read(); }

}  // namespace florence2

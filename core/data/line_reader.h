#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace trireme {

/// Reads a text file line by line; a file that gzip packed is unpacked on the way.
class LineReader {
 public:
  /// Throws DataError when the file cannot be opened.
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;

  /// The next line without its end (\n or \r\n); false behind the last one. Throws DataError when a packed
  /// file is damaged or cut off or a line is longer than 2^30 bytes, IoError when reading fails.
  bool next(std::string& line);
  /// All that was not yet read, as it stands. Throws as next does.
  std::string rest();
  int64_t bytes_read() const;  ///< of text
  /// "file:number" of the line that was read last, for messages.
  std::string place() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The text of a whole file, unpacked where its name ends in .gz. Throws DataError and IoError.
std::string read_text(const std::string& path);

}  // namespace trireme

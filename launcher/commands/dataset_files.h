#pragma once

#include <string>
#include <vector>

namespace trireme {

/// Throws IoError (kCannotCreate) when a data set of any kind lies at PREFIX, and what of it.
void refuse_existing_dataset(const std::string& prefix);
/// Removes what is left of a data set of any kind at PREFIX, its index first: from then on it cannot be
/// opened.
void remove_dataset(const std::string& prefix);
void make_parent_folder(const std::string& prefix);

/// A folder made under a temporary name, that is removed at the end of its scope unless it was put in place.
class NewFolder {
 public:
  explicit NewFolder(std::string final_path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const std::string& path() const { return temporary_; }
  /// Throws IoError.
  void put_in_place() const;

 private:
  std::string final_;
  std::string temporary_;
};

}  // namespace trireme

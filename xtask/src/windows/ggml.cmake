# ggml leaves `lib` out of its libraries' names on Windows, and llama-cpp-sys-2 looks for names with it when mingw compiles.
cmake_language(DEFER CALL set_target_properties ggml ggml-base ggml-cpu PROPERTIES PREFIX lib)

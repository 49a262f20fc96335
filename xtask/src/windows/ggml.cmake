# ggml leaves `lib` out of its libraries' names on Windows, and llama-cpp-sys-2 looks for names with it when mingw compiles.
function(name_libraries)
    foreach(library ggml ggml-base ggml-cpu ggml-vulkan)
        if(TARGET ${library})
            set_target_properties(${library} PROPERTIES PREFIX lib)
        endif()
    endforeach()
endfunction()
cmake_language(DEFER CALL name_libraries)

/* What llama.cpp uses of Windows' API and the headers of Debian 12's mingw-w64 (version 10) do not have. Every C and C++
   file is compiled with it. */
#ifndef STARLING_MINGW_GAPS
#define STARLING_MINGW_GAPS
#include <_mingw.h>
#if __MINGW64_VERSION_MAJOR < 11
typedef struct {
    unsigned long Version, ControlMask, StateMask;
} THREAD_POWER_THROTTLING_STATE;
#define THREAD_POWER_THROTTLING_CURRENT_VERSION 1
#define THREAD_POWER_THROTTLING_EXECUTION_SPEED 1
#define THREAD_POWER_THROTTLING_VALID_FLAGS 1
#endif
#endif

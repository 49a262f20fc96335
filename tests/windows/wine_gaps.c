/* What every Windows since 8 has and wine lacks, for tests under wine alone: it lies in their prefix, as bcryptprimitives.dll,
   and in no package. The programs are those that people get.

   Wine 8 has no bcryptprimitives.dll, from which Rust's standard library takes random bytes: so every program here loads
   this one. It stands in for two calls of the program's, since wine (10 too) refuses what QUIC's sockets ask (quinn-udp):
   whether one for IPv4 is for IPv6 alone, and that marks of congestion are handed on. With STARLING_WINE_REFUSES_QUIC in
   its environment a program meets wine as it is, as on a machine where some filter refuses that. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

/* The same number in both families; mingw's headers have it in neither. */
#define RECVECN 50

BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    while (length > 0) {
        ULONG part = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(bytes, part)) {
            return FALSE;
        }
        bytes += part;
        length -= part;
    }
    return TRUE;
}

/* Marks never come then, as from a network that makes none. */
static int WSAAPI set_option(SOCKET socket, int level, int option, const char *value, int length)
{
    if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && option == RECVECN) {
        return 0;
    }
    return setsockopt(socket, level, option, value, length);
}

static int WSAAPI get_option(SOCKET socket, int level, int option, char *value, int *length)
{
    int room = *length, failed = getsockopt(socket, level, option, value, length);
    if (failed && level == IPPROTO_IPV6 && option == IPV6_V6ONLY && room >= (int)sizeof(DWORD)) {
        *(DWORD *)value = FALSE;
        *length = sizeof(DWORD);
        return 0;
    }
    return failed;
}

/* The program calls through its table of imports; each of its crates may have brought one of the same library. */
static void stand_in(char *program, const char *library, const char *name, void *ours)
{
    IMAGE_NT_HEADERS *head = (IMAGE_NT_HEADERS *)(program + ((IMAGE_DOS_HEADER *)program)->e_lfanew);
    IMAGE_DATA_DIRECTORY place = head->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
    IMAGE_IMPORT_DESCRIPTOR *import = (IMAGE_IMPORT_DESCRIPTOR *)(program + place.VirtualAddress);
    for (; place.Size > 0 && import->Name; import++) {
        IMAGE_THUNK_DATA *named = (IMAGE_THUNK_DATA *)(program + import->OriginalFirstThunk);
        IMAGE_THUNK_DATA *called = (IMAGE_THUNK_DATA *)(program + import->FirstThunk);
        if (lstrcmpiA(program + import->Name, library) != 0 || !import->OriginalFirstThunk) {
            continue;
        }
        for (; named->u1.AddressOfData; named++, called++) {
            DWORD rights;
            if (IMAGE_SNAP_BY_ORDINAL(named->u1.Ordinal)) {
                continue;
            }
            IMAGE_IMPORT_BY_NAME *what = (IMAGE_IMPORT_BY_NAME *)(program + named->u1.AddressOfData);
            if (lstrcmpA((char *)what->Name, name) == 0
                && VirtualProtect(&called->u1.Function, sizeof called->u1.Function, PAGE_READWRITE, &rights)) {
                called->u1.Function = (ULONGLONG)ours;
                VirtualProtect(&called->u1.Function, sizeof called->u1.Function, rights, &rights);
            }
        }
    }
}

/* All tables are filled before the first library is told that it is loaded. */
BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved)
{
    (void)self, (void)reserved;
    if (reason == DLL_PROCESS_ATTACH && !GetEnvironmentVariableW(L"STARLING_WINE_REFUSES_QUIC", NULL, 0)) {
        char *program = (char *)GetModuleHandleW(NULL);
        stand_in(program, "ws2_32.dll", "setsockopt", (void *)set_option);
        stand_in(program, "ws2_32.dll", "getsockopt", (void *)get_option);
    }
    return TRUE;
}

// The library bcryptprimitives.dll, for programs of Go under Wine. Go's runtime loads it for ProcessPrng, and
// Wine has it from version 9 on. It also mends two answers of Wine's that Go does not expect.

#include <winsock2.h>
#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>
#include <string.h>
#include <winternl.h>

// RtlGenRandom is exported under this name only.
BOOLEAN NTAPI SystemFunction036(void *data, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T length)
{
	while (length > 0) {
		ULONG n = length < 0x10000 ? length : 0x10000;
		if (!SystemFunction036(data, n))
			return FALSE;
		data += n;
		length -= n;
	}
	return TRUE;
}

// os.RemoveAll asks for a deletion that Windows has since version 10, and for the older one if the system
// says that this is not supported. Wine 8 says that it is not implemented.

typedef NTSTATUS NTAPI set_information_t(HANDLE, IO_STATUS_BLOCK *, void *, ULONG, int);

static set_information_t *set_information;

static NTSTATUS NTAPI mended_set_information(HANDLE file, IO_STATUS_BLOCK *result, void *data, ULONG length, int class)
{
	NTSTATUS status = set_information(file, result, data, length, class);
	return status == STATUS_NOT_IMPLEMENTED ? STATUS_NOT_SUPPORTED : status;
}

// Package net has each UDP socket not fail for what ICMP says of the datagrams that it has sent. It does not
// under Wine, which has no name for the second of the two kinds that Windows has.

#define SIO_UDP_NETRESET _WSAIOW(IOC_VENDOR, 15)

typedef int WSAAPI ioctl_t(SOCKET, DWORD, void *, DWORD, void *, DWORD, DWORD *, WSAOVERLAPPED *, LPWSAOVERLAPPED_COMPLETION_ROUTINE);

static ioctl_t *ioctl;

static int WSAAPI mended_ioctl(SOCKET s, DWORD code, void *in, DWORD in_size, void *out, DWORD out_size, DWORD *returned,
	WSAOVERLAPPED *overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE completed)
{
	if (code == SIO_UDP_NETRESET && !overlapped) {
		*returned = 0;
		return 0;
	}
	return ioctl(s, code, in, in_size, out, out_size, returned, overlapped, completed);
}

// after allocates memory that is less than 4 GB after a library, as the addresses of its functions are told.
static void *after(BYTE *library, SIZE_T size)
{
	BYTE *at = library;
	MEMORY_BASIC_INFORMATION region;
	while (VirtualQuery(at, &region, sizeof region) && (at = (BYTE *)region.BaseAddress) - library < 0xFF000000LL) {
		BYTE *whole = (BYTE *)(((ULONG_PTR)at + 0xFFFF) & ~(ULONG_PTR)0xFFFF); // that is how Windows allocates
		void *got;
		if (region.State == MEM_FREE && whole + size <= at + region.RegionSize &&
			(got = VirtualAlloc(whole, size, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE)))
			return got;
		at += region.RegionSize;
	}
	return NULL;
}

// replace has GetProcAddress, which is how Go finds functions, return ours for a function of a library. It
// returns the library's.
static void *replace(const char *name, const char *function, void *ours)
{
	BYTE *library = (BYTE *)LoadLibraryA(name), *jump;
#ifdef _WIN64
	BYTE code[12] = {0x48, 0xB8, [10] = 0xFF, 0xE0}; // mov rax, ours; jmp rax
	BYTE *address = code + 2;
#else
	BYTE code[7] = {0xB8, [5] = 0xFF, 0xE0}; // mov eax, ours; jmp eax
	BYTE *address = code + 1;
#endif
	IMAGE_NT_HEADERS *headers = (IMAGE_NT_HEADERS *)(library + ((IMAGE_DOS_HEADER *)library)->e_lfanew);
	IMAGE_EXPORT_DIRECTORY *exports = (IMAGE_EXPORT_DIRECTORY *)(library +
		headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT].VirtualAddress);
	DWORD *names = (DWORD *)(library + exports->AddressOfNames);
	DWORD *functions = (DWORD *)(library + exports->AddressOfFunctions);
	WORD *ordinals = (WORD *)(library + exports->AddressOfNameOrdinals);
	for (DWORD i = 0; i < exports->NumberOfNames; i++) {
		DWORD *entry = functions + ordinals[i], before;
		void *theirs = library + *entry;
		if (strcmp((char *)library + names[i], function) != 0)
			continue;
		if (!(jump = after(library, sizeof code)) || !VirtualProtect(entry, sizeof *entry, PAGE_READWRITE, &before))
			return NULL;
		memcpy(address, &ours, sizeof ours);
		memcpy(jump, code, sizeof code);
		*entry = jump - library;
		VirtualProtect(entry, sizeof *entry, before, &before);
		return theirs;
	}
	return NULL;
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved)
{
	return reason != DLL_PROCESS_ATTACH ||
		((set_information = replace("ntdll", "NtSetInformationFile", mended_set_information)) &&
			(ioctl = replace("ws2_32", "WSAIoctl", mended_ioctl)));
}

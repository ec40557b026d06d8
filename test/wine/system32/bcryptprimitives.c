// The library bcryptprimitives.dll, which Go's runtime loads and Wine has from version 9 on, and a mend of
// what Wine 8 answers to a deletion.

#define WIN32_NO_STATUS
#include <windows.h>
#include <string.h>
#include <winternl.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>

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

typedef NTSTATUS NTAPI set_information_t(HANDLE file, IO_STATUS_BLOCK *result, void *data, ULONG length, int class);

static set_information_t *set_information;

// os.RemoveAll asks for a deletion that Windows has since version 10, and for the older one if the system
// says that this is not supported. Wine 8 says that it is not implemented.
static NTSTATUS NTAPI set_or_refuse(HANDLE file, IO_STATUS_BLOCK *result, void *data, ULONG length, int class)
{
	NTSTATUS status = set_information(file, result, data, length, class);
	return status == STATUS_NOT_IMPLEMENTED ? STATUS_NOT_SUPPORTED : status;
}

// A function of ntdll that only makes a system call is as long as this, and runs anywhere.
#define STUB 32

// wrap has the callers of NtSetInformationFile get to set_or_refuse.
static BOOL wrap(void)
{
	BYTE jump[12] = {0x48, 0xB8, [10] = 0xFF, 0xE0}; // mov rax, address; jmp rax
	void *to = set_or_refuse, *stub = GetProcAddress(GetModuleHandleA("ntdll"), "NtSetInformationFile");
	DWORD before;
	if (!stub || !(set_information = VirtualAlloc(NULL, STUB, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE)))
		return FALSE;
	memcpy(set_information, stub, STUB);
	memcpy(jump + 2, &to, sizeof to);
	if (!VirtualProtect(stub, sizeof jump, PAGE_EXECUTE_READWRITE, &before))
		return FALSE;
	memcpy(stub, jump, sizeof jump);
	return VirtualProtect(stub, sizeof jump, before, &before);
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved)
{
	return reason != DLL_PROCESS_ATTACH || wrap();
}

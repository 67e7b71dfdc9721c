const RECORDING =
  /\.(wav|wave|rf64|w64|flac|ogg|oga|opus|mp3|m4a|m4b|aac|aif|aiff|aifc|au|caf|wma|amr|webm|mka|mkv|mp4|m4v|mov|avi|3gp)$/i;

/** The files of a drop. A file that was dropped by itself is taken whatever it is; of folders, recordings alone. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  // The entries must be taken before the first await: the transfer is emptied after the event.
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) return [...transfer.files];
  const files = await Promise.all(entries.map(filesOf));
  return files.flat().sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** The recordings of a chosen folder. */
export function recordingsOf(files: Iterable<File>): File[] {
  return [...files].filter(isRecording);
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) return [await readFile(entry as FileSystemFileEntry)];
  const found = await Promise.all((await readFolder(entry as FileSystemDirectoryEntry)).map(filesOf));
  return recordingsOf(found.flat());
}

function isRecording(file: File): boolean {
  return !file.name.startsWith(".") && (/^(audio|video)\//.test(file.type) || RECORDING.test(file.name));
}

function readFile(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** Every entry of a folder: a browser tells them in portions, the last of which is empty. */
async function readFolder(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const entries: FileSystemEntry[] = [];
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) return entries;
    entries.push(...portion);
  }
}

import { describeForeignClient } from './foreign-client-suite.ts';
import { rclone, s3cmd } from './foreign-clients.ts';

describeForeignClient(rclone);
describeForeignClient(s3cmd);
